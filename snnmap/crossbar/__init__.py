"""The back end for accelerators of several cores with analog crossbars."""

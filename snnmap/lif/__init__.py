"""The back end for fixed LIF chips: one recurrent hidden population."""

"""Following the forward of a torch module that holds spiking neurons, whatever framework they are of."""

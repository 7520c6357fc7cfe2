"""snnmap takes trained networks to a fixed LIF chip: what you trained is what the chip does."""

"""Tags of the owner's own, taught by photos that have them and photos that have not."""

"""Making the machine agree: staged, checked, swapped, reloaded, proved, or put back."""

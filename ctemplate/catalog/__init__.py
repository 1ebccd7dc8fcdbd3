"""Where answers come from: one module or package a catalog, the hub that watches them, and nothing on templates."""

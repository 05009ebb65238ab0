"""Where people and the camera are in the world: gravity, the floor, feet that stand on it."""

"""What a person runs: a module for each noun, which imports what a command needs when that command is carried out."""

"""What the commands of every room share: `late` puts them on the parser of `inhaul`, `command` runs them."""

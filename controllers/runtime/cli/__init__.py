"""What the commands of every room share: `lazy` puts them on the parser of `inhaul`, `command` runs them."""

"""How generations are judged: the real pictures that they are compared with, the scores, and distances as papers publish them."""

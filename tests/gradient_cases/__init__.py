"""A corpus of gradients, right and wrong, with a proof of every label: ``rows(seed)`` builds it with other random data."""

from gradient_cases import algebra, contracts, elementwise, extreme, layers, networks, recurrent, rough

#: Importing a module enters its families.
MODULES = (algebra, contracts, elementwise, extreme, layers, networks, recurrent, rough)

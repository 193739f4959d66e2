"""Sort orders of the stand-in."""


def after(order):
    return order + "m"

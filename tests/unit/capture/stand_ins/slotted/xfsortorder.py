"""Sort orders of the stand-in, as a class with a single instance's method."""


class _Orders:
    def __call__(self, order):
        return order + "n"


_orders = _Orders()


def after(order):
    return _orders(order)

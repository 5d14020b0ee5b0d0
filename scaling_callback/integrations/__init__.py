"""Other trainers, one file each over the same recorder; none imports another.

Training loops of one's own need none: see `examples/plain_pytorch.py` and `examples/fabric_loop.py`.
"""

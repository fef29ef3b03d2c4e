"""Writes arrays with NumPy, for tests/formats_test.cpp: numpy.npz, deflated, and numpy_stored.npz.

/usr/bin/python3 tests/parity/numpy_files.py        (made with NumPy 1.24.2)

Every array is [[0, 1, 2], [3, 4, 5]], negated where its type has a sign; booleans are its remainders by 2.  Names say type
and what else is particular: "f4", "f8_fortran", "i2_big", "f4_version2".
"""
import io
import os
import zipfile

import numpy

HERE = os.path.dirname(os.path.abspath(__file__))
COUNT = numpy.arange(6).reshape(2, 3)


def arrays():
    for code in ("b1", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"):
        numbers = (COUNT % 2 if code == "b1" else COUNT if code[0] == "u" else -COUNT).astype("<" + code)
        yield code, numbers
        yield code + "_fortran", numpy.asfortranarray(numbers)
        yield code + "_big", numbers.astype(">" + code)
    yield "one", numpy.float64(2.5)
    yield "line", numpy.arange(3, dtype="f4")
    yield "none", numpy.zeros((0, 3), "f4")
    yield "deep_fortran", numpy.asfortranarray(numpy.arange(24, dtype="i4").reshape(2, 3, 4))
    yield "model/dense.weight", COUNT.astype("f4")


def main():
    everything = dict(arrays())
    numpy.savez_compressed(os.path.join(HERE, "numpy.npz"), **everything)
    with zipfile.ZipFile(os.path.join(HERE, "numpy.npz"), "a", zipfile.ZIP_DEFLATED) as archive:
        for version in (2, 3):
            file = io.BytesIO()
            numpy.lib.format.write_array(file, -COUNT.astype("f4"), version=(version, 0))
            archive.writestr(f"f4_version{version}.npy", file.getvalue())
    numpy.savez(os.path.join(HERE, "numpy_stored.npz"), f4=everything["f4"], i8=everything["i8"])


if __name__ == "__main__":
    main()

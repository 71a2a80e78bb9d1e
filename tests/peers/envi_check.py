"""ENVI files, read by the Python package `spectral`, against what we read.

    python envi_check.py READ_SPECTRA [LIBRARY.sli ...]

`READ_SPECTRA` is the example of that name, built: `cargo build -p spectral --example read_spectra`.
Libraries and cubes of every data type, byte order and interleave are written here; libraries given
as arguments are compared too.
"""

import itertools
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import spectral.io.envi as envi

TYPES = {1: "u1", 2: "i2", 3: "i4", 4: "f4", 5: "f8", 12: "u2", 13: "u4", 14: "i8", 15: "u8"}
# Spectra × bands; rows × columns × bands.
LIBRARY, CUBE = (7, 5), (5, 4, 3)
AXES = {"bsq": (2, 0, 1), "bil": (0, 2, 1), "bip": (0, 1, 2)}


def ours(reader, *arguments):
    command = [reader, *map(str, arguments)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def numbers(document):
    return np.array([np.nan if value is None else value for value in document["values"]])


def sample(kind, shape, rng):
    dtype = np.dtype(kind)
    if dtype.kind == "f":
        return rng.normal(size=shape).astype(dtype)
    info = np.iinfo(dtype)
    # Beyond 2⁵³ an f64 rounds; ours and NumPy round alike.
    return rng.integers(info.min, info.max, size=shape, dtype=dtype, endpoint=True)


def header(path, lists, **entries):
    pairs = (f"{key.replace('_', ' ')} = {value}" for key, value in entries.items())
    text = ["ENVI", *pairs, *lists]
    path.with_suffix(".hdr").write_text("\n".join(text) + "\n")


def braces(values):
    return "{ " + ",\n ".join(map(str, values)) + " }"


def write(path, values, code, order, offset):
    stored = values.astype(np.dtype(TYPES[code]).newbyteorder("<>"[order]))
    path.write_bytes(b"\0" * offset + np.ascontiguousarray(stored).tobytes())


def check_library(reader, path):
    """Names, wavelengths and values of a library; gives how many values there are and are missing."""
    theirs = envi.open(str(path.with_suffix(".hdr")), str(path))
    found = ours(reader, "library", path)
    assert found["names"] == theirs.names, path
    assert found["wavelengths"] == list(theirs.bands.centers), path
    expected = theirs.spectra.astype(float)
    # What is marked is missing with us; the package leaves the number as it is, and keeps `NaN` in
    # the place of the header's marker.
    ignored = envi.read_envi_header(str(path.with_suffix(".hdr"))).get("data ignore value")
    if ignored is not None:
        expected[theirs.spectra == theirs.spectra.dtype.type(ignored)] = np.nan
    expected[~np.isfinite(expected)] = np.nan
    assert np.array_equal(numbers(found), expected.ravel(), equal_nan=True), path
    return expected.size, int(np.isnan(expected).sum())


def check_cube(reader, path, rng):
    """All of a cube and five windows of it."""
    theirs = envi.open(str(path.with_suffix(".hdr")), str(path))
    whole = np.asarray(theirs.load(dtype=np.float64, scale=True))
    found = ours(reader, "cube", path)
    assert found["wavelengths"] == list(theirs.bands.centers), path
    assert found["fwhm"] == list(theirs.bands.bandwidths), path
    assert np.array_equal(numbers(found), whole.ravel()), path
    for _ in range(5):
        ends = [sorted(rng.choice(n + 1, 2, replace=False)) for n in CUBE]
        window = whole[tuple(slice(*pair) for pair in ends)]
        found = ours(reader, "cube", path, *(f"{begin}..{end}" for begin, end in ends))
        assert np.array_equal(numbers(found), window.ravel()), (path, ends)
    return whole.size


def generated_libraries(reader, folder, rng):
    n_spectra, n_bands = LIBRARY
    for (code, kind), order in itertools.product(TYPES.items(), (0, 1)):
        path = folder / f"library-{code}-{order}.sli"
        write(path, sample(kind, LIBRARY, rng), code, order, 0)
        header(path, [
            "wavelength = " + braces(350 + 1.25 * i for i in range(n_bands)),
            "spectra names = " + braces(f"Leaf {i} (dry)" for i in range(n_spectra)),
        ], samples=n_bands, lines=n_spectra, bands=1, header_offset=0, interleave="bsq",
            file_type="ENVI Spectral Library", data_type=code, byte_order=order,
            wavelength_units="Nanometers")
        check_library(reader, path)
        yield path


def generated_cubes(reader, folder, rng):
    n_rows, n_columns, n_bands = CUBE
    for (code, kind), order, interleave in itertools.product(TYPES.items(), (0, 1), AXES):
        scale = 1 if code % 2 else 10_000
        path = folder / f"cube-{code}-{order}.{interleave}"
        write(path, sample(kind, CUBE, rng).transpose(AXES[interleave]), code, order, 128)
        header(path, [
            "wavelength = " + braces(0.4 + 0.1 * i for i in range(n_bands)),
            "fwhm = " + braces(0.01 for _ in range(n_bands)),
        ], samples=n_columns, lines=n_rows, bands=n_bands, header_offset=128,
            interleave=interleave.upper(), file_type="ENVI Standard", data_type=code,
            byte_order=order, wavelength_units="Micrometers", reflectance_scale_factor=scale)
        check_cube(reader, path, rng)
        yield path


if __name__ == "__main__":
    reader, *given = sys.argv[1:]
    rng = np.random.default_rng(7)
    with tempfile.TemporaryDirectory() as folder:
        n_libraries = sum(1 for _ in generated_libraries(reader, Path(folder), rng))
        n_cubes = sum(1 for _ in generated_cubes(reader, Path(folder), rng))
    print(f"{n_libraries} libraries and {n_cubes} cubes of 6 windows each are read the same")
    for path in map(Path, given):
        n_values, n_missing = check_library(reader, path)
        values = f"{n_values} values ({n_missing} missing)"
        print(f"{path.name}: names, wavelengths and {values} are the same")

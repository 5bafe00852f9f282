"""Cut the README's thumbnails out of the stored notebooks: `python notebooks/images/thumbnails.py`."""

import base64
import io
import pathlib

import nbformat
from PIL import Image, ImageOps

HERE = pathlib.Path(__file__).parent
# which of a notebook's pictures, from 0
PICTURES = {"01": 3, "02": 11, "03": 11, "04": 1, "06": 1, "07": 2, "08": 1, "09": 2, "10": 1, "11": 1}
SIZE = (480, 360)

for start, index in PICTURES.items():
    notebook = nbformat.read(next(HERE.parent.glob(f"{start}_*.ipynb")), as_version=4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    found = [output.data["image/png"] for output in outputs if "image/png" in output.get("data", {})]
    with Image.open(io.BytesIO(base64.b64decode(found[index]))) as image:
        ImageOps.pad(image.convert("RGB"), SIZE, color="white").save(HERE / f"{start}.png", optimize=True)

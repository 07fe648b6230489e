"""`main_tables` with large crops: images of 288 pixels, crops of 256.

python -m harness study --study main_tables_large --loss warped --dataset cub

Printed numbers of crops of 256 pixels are compared with numbers of such crops alone, because a
larger crop is worth points of its own. The papers do not give the size before the crop: 288 keeps
the ratio of 256 to 224. On glyphs the crop is the whole image of 32 pixels in place of 24.

Cost: 1.3 times that of main_tables. Nobody has run it on photographs with this harness yet.
"""

import dataclasses

from studies.main_tables import STUDY as MAIN_TABLES

PER_DATASET = {
    **MAIN_TABLES.per_dataset,
    "glyphs": {**MAIN_TABLES.per_dataset["glyphs"], "crop": 32, "train_crop": "none"},
}
STUDY = dataclasses.replace(
    MAIN_TABLES, name="main_tables_large", resize=288, crop=256, per_dataset=PER_DATASET
)

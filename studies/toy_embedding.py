"""A small network trained to overfit in two dimensions: the warped softmax beside the plain one.

python -m harness study --study toy_embedding --figure toy_embedding.png

Figure 10 of DeMoor and Prevost 2024, arXiv 2408.15656: they train a 5-layer network on FashionMNIST
and show the embedding of its training images. Here the images are those of the first ten trainval
classes of glyphs, or of another --dataset with images of 32 pixels or more; nothing is held out and
no test class is touched.

What the paper leaves open is chosen here:
- five layers: four convolutions (narrow_convnet) and a linear head of two dimensions; 100 epochs of
  Adam at fixed learning rates;
- the plain softmax at temperature 1; the warp at temperature 1 too, with alpha at half of the norm
  that embeddings start with (16 for 128 features), and with two pairs of slopes: the authors' first
  ones on CUB, 0.93 and 1.15, and their last ones on Cars, 0.5 and 1.55; margin 1;
- five seeds, the same for every loss, so that differences are paired.

Cost: 15 trainings of 1,200 steps on one CPU core. A page whose trainings have not overfitted says
so and decides nothing: after 20 epochs 28 to 78 % of the images were nearest to their own proxy.
"""

from harness.schema import Demonstration, Study

STUDY = Demonstration(
    name="toy_embedding",
    values={
        "variants": {
            "plain": ("euclidean_softmax", {"temperature": 1.0}),
            "warped, 0.93 and 1.15": (
                "warped",
                {"temperature": 1.0, "alpha": 8.0, "k1": 0.93, "k2": 1.15, "margin": 1.0},
            ),
            "warped, 0.5 and 1.55": (
                "warped",
                {"temperature": 1.0, "alpha": 8.0, "k1": 0.5, "k2": 1.55, "margin": 1.0},
            ),
        },
        "classes": 10,
        "epochs": 100,
        "repeats": 5,
    },
    training=Study(
        name="toy_embedding",
        trunk="narrow_convnet",
        weights="none",
        resize=32,
        crop=32,
        train_crop="none",
        flip=0.0,
        dim=2,
        complete_dim=2,
        classes_per_batch=10,
        images_per_class=4,
        optimiser="adam",
        lr=3e-3,
        loss_lr=3e-2,
        followup=False,
        followup_max_epochs=0,
    ),
)

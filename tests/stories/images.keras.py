"""A convolutional network, straight from IDX files, in Keras."""
import gzip

import keras
import numpy as np
from keras import layers


# [story]
def images(path):
    with gzip.open(path) as file:
        return np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28, 1) / 255


def classes(path):
    with gzip.open(path) as file:
        return np.frombuffer(file.read(), np.uint8, offset=8)


keras.utils.set_random_seed(1)
x_train, y_train = images("train-images-idx3-ubyte.gz"), classes("train-labels-idx1-ubyte.gz")
x_test, y_test = images("t10k-images-idx3-ubyte.gz"), classes("t10k-labels-idx1-ubyte.gz")
model = keras.Sequential([
    keras.Input((28, 28, 1)),
    layers.Conv2D(8, 3, activation="relu"),
    layers.MaxPooling2D(2),
    layers.Conv2D(16, 3, activation="relu"),
    layers.MaxPooling2D(2),
    layers.Flatten(),
    layers.Dense(10),
])
model.compile(optimizer=keras.optimizers.Adam(3e-3), loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
              metrics=["accuracy"])
model.fit(x_train, y_train, epochs=2, batch_size=32)
scores = model.evaluate(x_test, y_test, return_dict=True)
# [/story]

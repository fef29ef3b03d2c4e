"""Fine-tuning from PyTorch's weights: the first layers are read and stay as they are, in Keras."""
import keras
from keras import layers
from safetensors.numpy import load_file

from data import x_test, x_train, y_test, y_train

# [story]
keras.utils.set_random_seed(1)
features = keras.Sequential([
    keras.Input((10,)),
    layers.Dense(32, activation="relu"),
    layers.Dense(16, activation="relu"),
])
weights = load_file("features.safetensors")
features.set_weights([weights["0.weight"].T, weights["0.bias"], weights["2.weight"].T, weights["2.bias"]])
features.trainable = False
model = keras.Sequential([features, layers.Dense(1, activation="sigmoid")])
model.compile(optimizer=keras.optimizers.Adam(1e-2), loss="binary_crossentropy", metrics=["accuracy"])
model.fit(x_train, y_train, epochs=5, batch_size=32)
scores = model.evaluate(x_test, y_test, return_dict=True)
# [/story]

"""The guide's model, from data to a saved network, in Keras."""
import keras
from keras import layers

from data import x_test, x_train, y_test, y_train

# [story]
keras.utils.set_random_seed(1)
model = keras.Sequential([
    keras.Input((10,)),
    layers.Dense(64, activation="relu"),
    layers.Dense(32, activation="relu"),
    layers.Dense(1, activation="sigmoid"),
])
model.compile(optimizer=keras.optimizers.Adam(1e-3), loss="binary_crossentropy", metrics=["accuracy"])
history = model.fit(x_train, y_train, epochs=20, batch_size=32, validation_split=0.2)
scores = model.evaluate(x_test, y_test, return_dict=True)
model.save("guide.keras")
model = keras.models.load_model("guide.keras")
# [/story]

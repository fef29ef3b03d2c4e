"""An LSTM forecaster: from 24 steps of a series to the next, and from its own forecasts on, in Keras."""
import keras
import numpy as np
from keras import layers

from data import x_test, x_train, y_test, y_train

# [story]
keras.utils.set_random_seed(1)
model = keras.Sequential([keras.Input((24, 1)), layers.LSTM(24), layers.Dense(1)])
model.compile(optimizer=keras.optimizers.Adam(0.01), loss="mse", metrics=["mae"])
model.fit(x_train, y_train, epochs=12, batch_size=32)
scores = model.evaluate(x_test, y_test, return_dict=True)
window = x_test[:1]
for ahead in range(20):
    window = np.concatenate([window[:, 1:], model.predict(window)[:, None]], axis=1)
# [/story]

"""A client of a SavedModel: sys.argv[1] is its folder, [2] a pickle of {signature: {key: array or list}}.

Answers with a pickle of {signature: {key: array}} and of {signature: types of its inputs}.
"""

import os
import pickle
import sys
from pathlib import Path

answers = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)

import tensorflow as tf  # noqa: E402

requests = pickle.loads(Path(sys.argv[2]).read_bytes())
model = tf.saved_model.load(sys.argv[1])
found, types = {}, {}
for name, function in model.signatures.items():
    _, inputs = function.structured_input_signature
    types[name] = {key: (spec.dtype.name, spec.shape.as_list()) for key, spec in inputs.items()}
for name, feeds in requests.items():
    tensors = {key: tf.constant(value) for key, value in feeds.items()}
    found[name] = {key: value.numpy() for key, value in model.signatures[name](**tensors).items()}
pickle.dump((found, types), answers)
answers.flush()

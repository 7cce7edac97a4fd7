"""The server one writes by hand: FastAPI, a DataFrame of the request's rows, and `model.predict`.

python plain_server.py model.keras PORT
"""

import sys
from typing import Any

import keras
import numpy as np
import pandas as pd
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel


class Request(BaseModel):
    rows: list[dict[str, Any]]


app = FastAPI()
model = keras.models.load_model(sys.argv[1])
TEXT = {each.name for each in model.inputs if each.dtype == "string"}


@app.post("/predict")
def predict(request: Request) -> dict[str, Any]:
    frame = pd.DataFrame(request.rows)
    inputs = {
        name: np.array(["" if pd.isna(each) else str(each) for each in frame[name]], dtype=object)
        if name in TEXT
        else frame[name].astype("float32").to_numpy()
        for name in frame.columns
    }
    return {"predictions": model.predict(inputs, verbose=0).tolist()}


uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="error")

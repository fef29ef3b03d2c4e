// All of nn: layers, losses, metrics, files and data.
#pragma once

#include "../autograd/autograd.h"
#include "attention.h"
#include "conv.h"
#include "data/csv.h"
#include "data/dataset.h"
#include "data/loader.h"
#include "init.h"
#include "io/safetensors.h"
#include "layers.h"
#include "losses.h"
#include "metrics.h"
#include "mode.h"
#include "module.h"
#include "norm.h"
#include "sequential.h"
#include "summary.h"

// All of nn: layers, losses, metrics, files and data.
#pragma once

#include "../autograd/autograd.h"
#include "data/csv.h"
#include "data/dataset.h"
#include "data/idx.h"
#include "data/loader.h"
#include "data/text.h"
#include "init.h"
#include "io/idx.h"
#include "io/safetensors.h"
#include "layers.h"
#include "losses.h"
#include "metrics.h"
#include "mode.h"
#include "module.h"
#include "sequential.h"
#include "summary.h"

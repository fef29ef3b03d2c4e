// All of autograd: the graph, its values, its vocabulary.
#pragma once

#include "custom.h"
#include "dtype.h"
#include "elementwise.h"
#include "error.h"
#include "functional.h"
#include "graph.h"
#include "lanes.h"
#include "ops.h"
#include "parameter.h"
#include "random.h"
#include "replay.h"
#include "scalar.h"
#include "scope.h"
#include "shape.h"
#include "tensor.h"
#include "threads.h"

// A model that PyTorch saved: tests/parity/state.py says what it is.
#include "parity.h"
#include "state_dict.h"

using namespace ebb;

TEST_CASE("every layer loads PyTorch's weights and gives PyTorch's outputs") {
  const Golden golden("state_io");
  State model;
  nn::load(model, EBB_SOURCE_ROOT "/tests/parity/state.safetensors");
  CHECK(golden.cases().size() == 14);
  for (const std::string& name : golden.cases()) {
    const double difference = apart(model.apply(name, golden(name, "x")), golden(name, "y"));
    CHECK_MESSAGE(difference <= 1e-6, name << " is apart by " << difference);
  }
}

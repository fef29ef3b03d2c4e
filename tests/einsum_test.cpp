// einsum against one loop over all letters.
#include "reference.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace ebb;
using reference::distance;
using reference::Plain;

namespace {

/// A formula, and the same with every axis spelled out: "..." is written with capitals, of which an operand can lack the
/// first ones.
struct Case {
  std::string formula;
  std::vector<std::string> letters;
  std::string result;
};

std::vector<Case> cases() {
  return {
      // one operand: reorder, sum, diagonal
      {"i->i", {"i"}, "i"},
      {"i->", {"i"}, ""},
      {"ij->ji", {"ij"}, "ji"},
      {"ji", {"ji"}, "ij"},
      {"ij->j", {"ij"}, "j"},
      {"ijk->ki", {"ijk"}, "ki"},
      {"ijk->", {"ijk"}, ""},
      {"kji->ijk", {"kji"}, "ijk"},
      {"ii->i", {"ii"}, "i"},
      {"ii", {"ii"}, ""},
      {"iji->ji", {"iji"}, "ji"},
      {"iji->j", {"iji"}, "j"},
      {"iij->ij", {"iij"}, "ij"},
      {"iii->i", {"iii"}, "i"},
      {"ijij->ij", {"ijij"}, "ij"},
      {"iijj", {"iijj"}, ""},
      {"->", {""}, ""},
      {"...->...", {"XY"}, "XY"},
      {"...ij->...ji", {"XYij"}, "XYji"},
      {"i...->...", {"iXY"}, "XY"},
      {"i...j", {"iXYj"}, "XYij"},
      {"...ii->...i", {"XYii"}, "XYi"},
      {"...i->i", {"XYi"}, "i"},
      // two: products of numbers, vectors, matrices and batches of them
      {",->", {"", ""}, ""},
      {",i->i", {"", "i"}, "i"},
      {"i,i->i", {"i", "i"}, "i"},
      {"i,i", {"i", "i"}, ""},
      {"i,i->", {"i", "i"}, ""},
      {"i,j->ij", {"i", "j"}, "ij"},
      {"i,j->ji", {"i", "j"}, "ji"},
      {"i,j->", {"i", "j"}, ""},
      {"ij,ij->", {"ij", "ij"}, ""},
      {"ij,ij->ij", {"ij", "ij"}, "ij"},
      {"ij,ij->i", {"ij", "ij"}, "i"},
      {"ij,ji->", {"ij", "ji"}, ""},
      {"ij,j->i", {"ij", "j"}, "i"},
      {"ij,i->ij", {"ij", "i"}, "ij"},
      {"i,ij->j", {"i", "ij"}, "j"},
      {"ij,jk->ik", {"ij", "jk"}, "ik"},
      {"ij,jk", {"ij", "jk"}, "ik"},
      {" i j , j k -> i k ", {"ij", "jk"}, "ik"},
      {"ij,jk->ki", {"ij", "jk"}, "ki"},
      {"ij,kj->ik", {"ij", "kj"}, "ik"},
      {"ji,jk->ik", {"ji", "jk"}, "ik"},
      {"ji,kj->ik", {"ji", "kj"}, "ik"},
      {"ij,jk->", {"ij", "jk"}, ""},
      {"ij,kl->ijkl", {"ij", "kl"}, "ijkl"},
      {"ij,kl->k", {"ij", "kl"}, "k"},
      {"ijk,k->ij", {"ijk", "k"}, "ij"},
      {"ijk,jl->ikl", {"ijk", "jl"}, "ikl"},
      {"ijk,lk->lij", {"ijk", "lk"}, "lij"},
      {"ijk,ijl->kl", {"ijk", "ijl"}, "kl"},
      {"ijkl,jl->ki", {"ijkl", "jl"}, "ki"},
      {"bij,bjk->bik", {"bij", "bjk"}, "bik"},
      {"bij,bkj->bik", {"bij", "bkj"}, "bik"},
      {"bji,bjk->bik", {"bji", "bjk"}, "bik"},
      {"ibj,jkb->bki", {"ibj", "jkb"}, "bki"},
      {"bi,bi->b", {"bi", "bi"}, "b"},
      {"ib,bi->b", {"ib", "bi"}, "b"},
      {"bhqd,bhkd->bhqk", {"bhqd", "bhkd"}, "bhqk"},
      {"bhqk,bkhd->bqhd", {"bhqk", "bkhd"}, "bqhd"},
      {"iij,jk->ik", {"iij", "jk"}, "ik"},
      {"aB,Bc->ac", {"aQ", "Qc"}, "ac"},
      {"Za,ab", {"Pa", "ab"}, "Pb"},
      {"...ij,...jk->...ik", {"XYij", "Yjk"}, "XYik"},
      {"...ij,jk->...ik", {"XYij", "jk"}, "XYik"},
      {"...i,...i->...", {"XYi", "Yi"}, "XY"},
      {"i...,...->i", {"iXY", "Y"}, "i"},
      {"...,...", {"XY", "Y"}, "XY"},
      // three and more, from left to right
      {"i,i,i->", {"i", "i", "i"}, ""},
      {"i,i,i->i", {"i", "i", "i"}, "i"},
      {"i,j,k->kji", {"i", "j", "k"}, "kji"},
      {"ij,jk,kl->il", {"ij", "jk", "kl"}, "il"},
      {"ij,kj,k->i", {"ij", "kj", "k"}, "i"},
      {"ij,jk,ki->", {"ij", "jk", "ki"}, ""},
      {"bi,ij,bj->b", {"bi", "ij", "bj"}, "b"},
      {"ij,ik,il->jkl", {"ij", "ik", "il"}, "jkl"},
      {"ab,bc,cd,de->ae", {"ab", "bc", "cd", "de"}, "ae"},
      {"...i,ij,...j->...", {"XYi", "ij", "Yj"}, "XY"},
  };
}

/// Operands whose letters have sizes from a round: the first letters get the first sizes, and so on.
std::vector<Tensor> operands(const Case& c, const std::vector<std::int64_t>& round, DType dtype = f64) {
  std::string known;
  std::vector<Tensor> all;
  for (const std::string& letters : c.letters) {
    std::vector<std::int64_t> sizes;
    for (const char letter : letters) {
      if (known.find(letter) == std::string::npos) known += letter;
      sizes.push_back(round[known.find(letter) % round.size()]);
    }
    // A capital of a later operand broadcasts: it is 1 there.
    if (&letters != &c.letters.front() && c.formula.starts_with("...ij,..."))
      for (std::size_t axis = 0; axis < letters.size(); ++axis)
        if (letters[axis] == 'Y') sizes[axis] = 1;
    Generator generator(all.size() + 5);
    all.push_back(randn(reference::shape_of(sizes), dtype, generator));
  }
  return all;
}

Plain expected(const Case& c, const std::vector<Tensor>& x) {
  std::vector<Plain> plain(x.begin(), x.end());
  return reference::einsum(c.letters, c.result, plain);
}

}  // namespace

TEST_CASE("einsum is one loop over all letters") {
  const std::vector<Case> all = cases();
  CHECK(all.size() >= 75);
  for (const Case& c : all)
    for (const std::vector<std::int64_t>& round : std::vector<std::vector<std::int64_t>>{
             {1}, {3, 5, 2}, {2, 1, 3}, {1, 7}, {3, 0, 2}, {0}, {5, 4, 3, 2}, {2, 3, 1, 0}}) {
      CAPTURE(c.formula);
      CAPTURE(round);
      const std::vector<Tensor> x = operands(c, round);
      CHECK(distance(einsum(c.formula, x), expected(c, x)) < 1e-13);
      const std::vector<Tensor> narrow = operands(c, round, f32);
      CHECK(einsum(c.formula, narrow).dtype() == f32);
      CHECK(distance(einsum(c.formula, narrow), expected(c, narrow)) < 1e-4);
    }
}

TEST_CASE("einsum's gradients of first and second order agree with differences, whatever the formula") {
  for (const Case& c : cases())
    for (const std::vector<std::int64_t>& round : std::vector<std::vector<std::int64_t>>{{2, 3, 1}, {2, 0}}) {
      CAPTURE(c.formula);
      const auto f = [&](const std::vector<Tensor>& x) { return einsum(c.formula, x); };
      CHECK(gradcheck(f, operands(c, round)) < 1e-7);
      CHECK(gradcheck(f, operands(c, round), {.order = 2}) < 1e-6);
    }
}

TEST_CASE("einsum takes operands one by one, promotes their types, and makes whole numbers f32 as matmul does") {
  const Tensor a = tensor({{1, 2}, {3, 4}}, i64), b = tensor({{5, 6}, {7, 8}});
  CHECK(einsum("ij,jk->ik", a, b).to_vector<float>() == std::vector<float>{19, 22, 43, 50});
  CHECK(einsum("ij,jk->ik", a, b.to(f64)).dtype() == f64);
  CHECK(einsum("ii", a).item() == 5);
  CHECK(einsum("ii", a).dtype() == f32);
}

TEST_CASE("einsum of matrices that lie the right way is one matrix product, without a copy") {
  for (const char* formula : {"ij,jk->ik", "ij,kj->ik", "ji,jk->ik", "ji,kj->ik"}) {
    Graph graph;
    const Tensor x = graph.variable(ones({3, 3}));
    einsum(formula, x, x);
    CHECK(graph.size() == 2);
    CHECK(graph.nodes().back().op == "matmul");
  }
}

TEST_CASE("whatever stands in a formula, einsum computes or refuses") {
  constexpr char alphabet[] = {'i', 'j', 'k', 'B', ',', ',', '-', '>', '.', ' ', '1', '\n'};
  Generator generator(3);
  const std::vector<Tensor> x = {ones({2, 2}), ones({2}), ones({3, 0})};
  int computed = 0, refused = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string formula;
    for (std::int64_t length = generator.below(9); length >= 0; --length) {
      const std::int64_t pick = generator.below(14);
      if (pick == 12) formula += "->";
      else if (pick == 13) formula += "...";
      else formula += alphabet[pick];
    }
    std::vector<Tensor> operands;
    for (std::int64_t n = generator.below(3); n > 0; --n) operands.push_back(x[std::size_t(generator.below(3))]);
    try {
      einsum(formula, operands);
      ++computed;
    } catch (const UsageError&) {
      ++refused;
    } catch (const ShapeError&) {
      ++refused;
    }
  }
  CHECK(computed > 100);
  CHECK(refused > 10000);
}

// Every failure that a user can cause is one of these.
#pragma once

#include <stdexcept>
#include <string>

namespace ebb {

/// The base of all of Ebb's exceptions: what() says what was asked, why not, where in the model, and what to do.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Sizes, ranks or axes that do not fit.
class ShapeError : public Error {
 public:
  using Error::Error;
};

/// A type of number that does not fit.
class DTypeError : public Error {
 public:
  using Error::Error;
};

/// A position outside its range.
class IndexError : public Error {
 public:
  using Error::Error;
};

/// A question that the graph cannot answer: not recording, closed, already used up, another thread's.
class GraphError : public Error {
 public:
  using Error::Error;
};

/// Text or bytes that are not what their format says.
class ParseError : public Error {
 public:
  using Error::Error;
};

/// A file that cannot be read or written.
class IoError : public Error {
 public:
  using Error::Error;
};

/// An option or argument outside what it may be.
class UsageError : public Error {
 public:
  using Error::Error;
};

}  // namespace ebb

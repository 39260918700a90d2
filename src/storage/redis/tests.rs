//! Unit tests of the book.

"""Iterative solvers that know only an operator: conjugate gradients, proximal gradients."""

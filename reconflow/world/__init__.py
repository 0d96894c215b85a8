"""Sample worlds with known truth: rendered photos for the demo and benchmarks, exact correspondences for tests."""

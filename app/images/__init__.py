"""The page Images: which training images each lane memorises, and its predictions for the test images."""

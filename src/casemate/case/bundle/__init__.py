"""Evidence bundles: what a case holds, packed so that anyone can verify it offline."""

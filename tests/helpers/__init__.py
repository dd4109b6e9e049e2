"""What several tests share: structures, densities, files, networks with known answers."""

"""Derivatives of the density: ∇ρ, Hessian, IRI and DORI of a model, against DFT and against finite differences."""

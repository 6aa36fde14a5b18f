"""What a run will take before it is begun: parameters, memory, work, time, cost; what to train."""

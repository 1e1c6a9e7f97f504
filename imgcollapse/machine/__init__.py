"""All that must not decide a result: devices, caches, processes, environment, streams."""

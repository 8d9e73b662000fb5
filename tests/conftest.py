"""What holds for every test."""

from hypothesis import HealthCheck, settings

# A loaded machine makes examples slowly; that is no property of the code.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

"""What an agent meets: faulty training programs, as a Gymnasium environment."""

from netmend.env.registration import ENVIRONMENT_ID, register_environments

register_environments()

__all__ = ["ENVIRONMENT_ID", "register_environments"]

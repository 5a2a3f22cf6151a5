"""Every rule, by group."""

from scripts.doctor.rules.database import DATABASE
from scripts.doctor.rules.exec import EXEC
from scripts.doctor.rules.images import IMAGES
from scripts.doctor.rules.jobs import JOBS
from scripts.doctor.rules.lifecycle import LIFECYCLE
from scripts.doctor.rules.network import NETWORK
from scripts.doctor.rules.roles import ROLES
from scripts.doctor.rules.scaling import SCALING

RULES = (*JOBS, *EXEC, *LIFECYCLE, *IMAGES, *ROLES, *DATABASE, *SCALING, *NETWORK)

"""Steps that a project file can name."""

from sempre.sdk.deploying.steps.docker_images import build_docker_image, push_docker_image
from sempre.sdk.deploying.steps.git_clone import git_clone
from sempre.sdk.deploying.steps.remote import pull_from_remote_storage, pull_with_block, push_to_remote_storage
from sempre.sdk.deploying.steps.shell import pip_install_requirements, run_shell_script
from sempre.sdk.deploying.steps.working_directory import set_working_directory

__all__ = [
    "build_docker_image",
    "git_clone",
    "pip_install_requirements",
    "pull_from_remote_storage",
    "pull_with_block",
    "push_docker_image",
    "push_to_remote_storage",
    "run_shell_script",
    "set_working_directory",
]

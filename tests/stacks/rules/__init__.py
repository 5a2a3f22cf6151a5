"""What must hold in a stage's templates, beyond what the linters know.

A rule is a function of `Templates` that fails when its promise is broken; its docstring names the
controls it mirrors: Security Hub (ECS.5), checkov (CKV_AWS_336), or says why it is ours.
"""

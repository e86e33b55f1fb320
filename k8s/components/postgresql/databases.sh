#!/bin/bash
# Runs once, on the empty disk: a user and a database each for Dagster, the project's state and MLflow.
set -euo pipefail
for name in dagster ft_assets mlflow; do
  psql --quiet --set ON_ERROR_STOP=1 --username postgres --set "password=$(<"/run/secrets/postgresql/$name")" <<SQL
CREATE USER $name PASSWORD :'password';
CREATE DATABASE $name OWNER $name;
REVOKE CONNECT ON DATABASE $name FROM PUBLIC;
SQL
done

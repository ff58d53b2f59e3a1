# What an administrator of secrets declares: applied, planned again, changed and destroyed by tests/it/clients/terraform.rs.

terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}

# Keys come from the shared credentials file that the environment names.
provider "aws" {
  region                      = "us-east-1"
  skip_credentials_validation = true
  skip_requesting_account_id  = true
  skip_metadata_api_check     = true

  endpoints {
    secretsmanager = var.endpoint
    ssm            = var.endpoint
  }

  default_tags {
    tags = {
      managed-by = "terraform"
    }
  }
}

variable "endpoint" {
  type = string
}

# The secret of a PostgreSQL account, as JSON.
variable "account" {
  type      = string
  sensitive = true
}

# What the second apply changes.
variable "changed" {
  type    = bool
  default = false
}

locals {
  reader = {
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { AWS = "arn:aws:iam::000000000000:root" }
      Action    = var.changed ? ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"] : ["secretsmanager:GetSecretValue"]
      Resource  = "*"
    }]
  }
}

# A secret with everything of its own.
resource "aws_secretsmanager_secret" "app" {
  name                    = "terraform/app"
  description             = var.changed ? "changed" : "declared"
  recovery_window_in_days = 0
  policy                  = jsonencode(local.reader)
  tags                    = var.changed ? { team = "b", stage = "test" } : { team = "a", empty = "" }
}

resource "aws_secretsmanager_secret_version" "app" {
  secret_id     = aws_secretsmanager_secret.app.id
  secret_string = var.changed ? "second" : "first"
}

# Bytes, labels of one's own, a name that is made up, and a deletion that waits.
resource "aws_secretsmanager_secret" "binary" {
  name_prefix             = "terraform/binary-"
  recovery_window_in_days = 7
}

resource "aws_secretsmanager_secret_version" "binary" {
  secret_id      = aws_secretsmanager_secret.binary.id
  secret_binary  = base64encode("bytes")
  version_stages = var.changed ? ["AWSCURRENT", "green"] : ["AWSCURRENT", "blue"]
}

resource "aws_secretsmanager_secret_policy" "binary" {
  secret_arn          = aws_secretsmanager_secret.binary.arn
  block_public_policy = true
  policy              = jsonencode(local.reader)
}

# No value at all, and regions that no peer serves: recorded, and reported as failed.
resource "aws_secretsmanager_secret" "empty" {
  name                    = "terraform/empty"
  recovery_window_in_days = 0

  replica {
    region = "eu-west-1"
  }

  dynamic "replica" {
    for_each = var.changed ? ["eu-west-2"] : []
    content {
      region = replica.value
    }
  }
}

# The account of a real database, whose password is Pawl's from the first rotation on.
resource "aws_secretsmanager_secret" "account" {
  name                    = "terraform/account"
  recovery_window_in_days = 0

  # Settings that AWS has no field for.
  tags = {
    "pawl:strategy" = "single-user"
    "pawl:grace"    = var.changed ? "0900" : "1h"
    "pawl:timezone" = "Europe/Berlin"
  }
}

resource "aws_secretsmanager_secret_version" "account" {
  secret_id     = aws_secretsmanager_secret.account.id
  secret_string = var.account
}

resource "aws_secretsmanager_secret_rotation" "account" {
  secret_id           = aws_secretsmanager_secret.account.id
  rotation_lambda_arn = "arn:aws:lambda:us-east-1:000000000000:function:postgres"

  rotation_rules {
    automatically_after_days = var.changed ? null : 30
    schedule_expression      = var.changed ? "cron(0 4 ? * SUN *)" : null
    duration                 = var.changed ? "3h" : null
  }

  depends_on = [aws_secretsmanager_secret_version.account]
}

data "aws_secretsmanager_secret" "app" {
  name       = aws_secretsmanager_secret.app.name
  depends_on = [aws_secretsmanager_secret_version.app]
}

data "aws_secretsmanager_secret_version" "app" {
  secret_id  = aws_secretsmanager_secret.app.id
  depends_on = [aws_secretsmanager_secret_version.app]
}

data "aws_secretsmanager_secret_version" "binary" {
  secret_id     = aws_secretsmanager_secret.binary.id
  version_stage = var.changed ? "green" : "blue"
  depends_on    = [aws_secretsmanager_secret_version.binary]
}

data "aws_secretsmanager_secret_versions" "app" {
  secret_id  = aws_secretsmanager_secret.app.id
  depends_on = [aws_secretsmanager_secret_version.app]
}

data "aws_secretsmanager_secret_rotation" "account" {
  secret_id = aws_secretsmanager_secret_rotation.account.id
}

data "aws_secretsmanager_secrets" "all" {
  filter {
    name   = "name"
    values = ["terraform/"]
  }
  depends_on = [aws_secretsmanager_secret.app, aws_secretsmanager_secret.empty]
}

data "aws_ssm_parameter" "app" {
  name       = "/aws/reference/secretsmanager/${aws_secretsmanager_secret.app.name}"
  depends_on = [aws_secretsmanager_secret_version.app]
}

data "aws_secretsmanager_random_password" "made" {
  password_length     = 50
  exclude_punctuation = true
}

output "app" {
  value = {
    arn           = data.aws_secretsmanager_secret.app.arn
    description   = data.aws_secretsmanager_secret.app.description
    tags          = data.aws_secretsmanager_secret.app.tags
    policy        = jsondecode(data.aws_secretsmanager_secret.app.policy)
    version       = data.aws_secretsmanager_secret_version.app.version_id
    stages        = data.aws_secretsmanager_secret_version.app.version_stages
    value         = data.aws_secretsmanager_secret_version.app.secret_string
    versions      = length(data.aws_secretsmanager_secret_versions.app.versions)
    bytes         = data.aws_secretsmanager_secret_version.binary.secret_binary
    parameter     = data.aws_ssm_parameter.app.value
    names         = sort(data.aws_secretsmanager_secrets.all.names)
    rotation      = data.aws_secretsmanager_secret_rotation.account.rotation_enabled
    rules         = data.aws_secretsmanager_secret_rotation.account.rotation_rules
    random_length = length(data.aws_secretsmanager_random_password.made.random_password)
  }
  sensitive = true
}

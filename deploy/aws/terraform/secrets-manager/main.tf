# Changes of secrets in Secrets Manager become messages for the External Secrets controller: give it the output queue_url as
# INHAUL_EXTERNAL_SECRETS_QUEUE_URL. Secrets Manager speaks through CloudTrail: the account needs a trail that records
# write management events. Events never hold values.

module "queue" {
  count              = var.queue_arn == "" ? 1 : 0
  source             = "../queue"
  name               = var.name
  short              = "secrets"
  consumer_role_name = var.consumer_role_name
  tags               = var.tags
}

locals {
  detail = {
    "eventSource" = ["secretsmanager.amazonaws.com"]
    "eventName" = [
      "CreateSecret",
      "DeleteSecret",
      "PutSecretValue",
      "ReplicateSecretToRegions",
      "RestoreSecret",
      "TagResource",
      "UntagResource",
      "UpdateSecret",
      "UpdateSecretVersionStage",
      "RotationSucceeded",
    ]
    "errorCode" = [{ "exists" = false }]
  }
  pattern = {
    "source"      = ["aws.secretsmanager"]
    "detail-type" = ["AWS API Call via CloudTrail", "AWS Service Event via CloudTrail"]
    "detail"      = local.detail
  }
}

resource "aws_cloudwatch_event_rule" "this" {
  name          = "${var.name}-secrets"
  description   = "Secrets Manager changes to SQS"
  event_pattern = jsonencode(local.pattern)
  tags          = var.tags
}

resource "aws_cloudwatch_event_target" "queue" {
  rule      = aws_cloudwatch_event_rule.this.name
  target_id = "queue"
  arn       = var.queue_arn == "" ? module.queue[0].arn : var.queue_arn
}

# Changes of parameters in Parameter Store become messages for the External Secrets controller: give it the output queue_url
# as INHAUL_EXTERNAL_SECRETS_QUEUE_URL, or share the queue of the module secrets-manager. Events never hold values.

module "queue" {
  count              = var.queue_arn == "" ? 1 : 0
  source             = "../queue"
  name               = var.name
  short              = "parameters"
  consumer_role_name = var.consumer_role_name
  tags               = var.tags
}

locals {
  detail = {
    "operation" = ["Create", "Update", "Delete", "LabelParameterVersion"]
  }
  chosen = length(var.name_prefixes) == 0 ? {} : { "name" = [for each in var.name_prefixes : { "prefix" = each }] }
  pattern = {
    "source"      = ["aws.ssm"]
    "detail-type" = ["Parameter Store Change"]
    "detail"      = merge(local.detail, local.chosen)
  }
}

resource "aws_cloudwatch_event_rule" "this" {
  name          = "${var.name}-parameters"
  description   = "Parameter Store changes to SQS"
  event_pattern = jsonencode(local.pattern)
  tags          = var.tags
}

resource "aws_cloudwatch_event_target" "queue" {
  rule      = aws_cloudwatch_event_rule.this.name
  target_id = "queue"
  arn       = var.queue_arn == "" ? module.queue[0].arn : var.queue_arn
}

# Pushes and deletions of images in ECR become messages for the image automation controller: give it the output queue_url as
# INHAUL_IMAGE_AUTOMATION_QUEUE_URL. It is a queue of its own: each controller reads one, and a message is gone once read.

module "queue" {
  count              = var.queue_arn == "" ? 1 : 0
  source             = "../queue"
  name               = var.name
  short              = "images"
  consumer_role_name = var.consumer_role_name
  tags               = var.tags
}

locals {
  detail = {
    "action-type" = ["PUSH", "DELETE"]
    "result"      = ["SUCCESS"]
  }
  chosen = length(var.repositories) == 0 ? {} : { "repository-name" = var.repositories }
  pattern = {
    "source"      = ["aws.ecr"]
    "detail-type" = ["ECR Image Action"]
    "detail"      = merge(local.detail, local.chosen)
  }
}

resource "aws_cloudwatch_event_rule" "this" {
  name          = "${var.name}-images"
  description   = "ECR image changes to SQS"
  event_pattern = jsonencode(local.pattern)
  tags          = var.tags
}

resource "aws_cloudwatch_event_target" "queue" {
  rule      = aws_cloudwatch_event_rule.this.name
  target_id = "queue"
  arn       = var.queue_arn == "" ? module.queue[0].arn : var.queue_arn
}

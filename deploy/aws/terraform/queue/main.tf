# The queue that EventBridge rules of one cluster write to and one controller reads: what cannot be handled is put aside
# after five tries. Used by the modules beside it.

locals {
  queue   = split(":", aws_sqs_queue.this.arn) # arn:partition:sqs:region:account:name
  account = local.queue[4]
  rules   = "arn:${local.queue[1]}:events:${local.queue[3]}:${local.account}:rule/${var.name}-*"
}

resource "aws_sqs_queue" "this" {
  name                       = "${var.name}-${var.short}"
  sqs_managed_sse_enabled    = true
  message_retention_seconds  = 345600
  visibility_timeout_seconds = 30
  receive_wait_time_seconds  = 20
  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dropped.arn
    maxReceiveCount     = 5
  })
  tags = var.tags
}

resource "aws_sqs_queue" "dropped" {
  name                      = "${var.name}-${var.short}-dropped"
  sqs_managed_sse_enabled   = true
  message_retention_seconds = 1209600
  tags                      = var.tags
}

data "aws_iam_policy_document" "queue" {
  statement {
    sid       = "RulesOfThisCluster"
    effect    = "Allow"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.this.arn]

    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }

    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = [local.rules]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }

  statement {
    sid       = "EncryptedOnly"
    effect    = "Deny"
    actions   = ["sqs:*"]
    resources = [aws_sqs_queue.this.arn]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_sqs_queue_policy" "this" {
  queue_url = aws_sqs_queue.this.url
  policy    = data.aws_iam_policy_document.queue.json
}

data "aws_iam_policy_document" "consumer" {
  statement {
    effect = "Allow"
    actions = [
      "sqs:ReceiveMessage",
      "sqs:DeleteMessage",
      "sqs:ChangeMessageVisibility",
      "sqs:GetQueueAttributes",
    ]
    resources = [aws_sqs_queue.this.arn]
  }
}

resource "aws_iam_role_policy" "consumer" {
  count  = var.consumer_role_name == "" ? 0 : 1
  name   = "${var.name}-${var.short}-queue"
  role   = var.consumer_role_name
  policy = data.aws_iam_policy_document.consumer.json
}
